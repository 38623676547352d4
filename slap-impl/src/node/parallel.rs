//! Several futures beside each other, but not all at once.

use crate::env::{LocalFuture, join_all};
use std::{cell::RefCell, collections::VecDeque};

/// Runs the futures, at most `limit` (at least 1) beside each other, begun in order; gives their results in order.
pub async fn bounded<T>(limit: usize, futures: Vec<LocalFuture<'_, T>>) -> Vec<T> {
    let workers = limit.clamp(1, futures.len().max(1));
    let results: RefCell<Vec<Option<T>>> = RefCell::new(futures.iter().map(|_| None).collect());
    let queue: RefCell<VecDeque<_>> = RefCell::new(futures.into_iter().enumerate().collect());
    let work = || async {
        loop {
            let next = queue.borrow_mut().pop_front();
            let Some((index, future)) = next else { break };
            let result = future.await;
            results.borrow_mut()[index] = Some(result);
        }
    };
    join_all((0..workers).map(|_| Box::pin(work()) as LocalFuture<'_, ()>).collect()).await;
    results.into_inner().into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, rc::Rc};

    #[tokio::test]
    async fn no_more_than_the_limit_run_beside_each_other() {
        let running = Rc::new(Cell::new(0));
        let most = Rc::new(Cell::new(0));
        let futures = (0..5).map(|number| {
            let (running, most) = (running.clone(), most.clone());
            Box::pin(async move {
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                tokio::task::yield_now().await;
                running.set(running.get() - 1);
                number
            }) as LocalFuture<'_, i32>
        });
        assert_eq!(bounded(2, futures.collect()).await, [0, 1, 2, 3, 4]);
        assert_eq!(most.get(), 2);
        assert_eq!(bounded::<()>(0, Vec::new()).await, []);
    }
}
