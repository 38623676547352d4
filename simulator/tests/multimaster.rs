//! A master that passes requests on to another one, in the time of a world: nobody waits for it in this one.

use simulator::world::World;
use slap_impl::{
    env::{Address, Either, race},
    master::{Configuration, Master, OtherMaster},
    wire::http::server::{Handler, Request, Response},
};
use std::{collections::BTreeMap, path::PathBuf, rc::Rc, time::Duration};

async fn ask(master: &Rc<Master>, endpoint: &str, body: &str) -> Response {
    let request = Request {
        method: "POST".to_owned(),
        path: format!("/{endpoint}"),
        headers: vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())],
        body: body.to_owned().into(),
        ..Request::default()
    };
    master.clone().handle(request).await
}

#[test]
fn a_master_that_never_answers_is_given_up_and_costs_nobody_else() {
    World::run(3, async |world| {
        let env = world.user("/root", BTreeMap::new());
        let address = Address::Tcp("127.0.0.1:6000".parse().unwrap());
        // It listens, and that is all.
        let _silent = env.network().listen(&address).unwrap();
        let other = OtherMaster {
            name: "http://127.0.0.1:6000".to_owned(),
            url: Ok("http://127.0.0.1:6000".parse().unwrap()),
            requester: None,
            releases: ["/silent.cfg".to_owned()].into(),
        };
        let configuration = Configuration {
            database: PathBuf::from("/root/master.sqlite"),
            default_computer: Some("COMP-1".parse().unwrap()),
            others: vec![other],
            ..Configuration::default()
        };
        let master = Master::open(&env, configuration).await.unwrap();
        let elapsed = || env.clock().elapsed();
        let begun = elapsed();
        let wish = "partition_reference=a&software_release=/silent.cfg&software_type=";
        let passed_on = ask(&master, "requestComputerPartition", wish);
        let supplied = ask(&master, "supplySupply", "computer_id=COMP-1&url=/r&state=available");
        let mut passed_on = Box::pin(passed_on);
        match race(passed_on.as_mut(), supplied).await {
            Either::First(answer) => panic!("it was answered first, with {}", answer.status),
            Either::Second(answer) => assert_eq!(answer.status, 200),
        }
        assert!(elapsed() - begun < Duration::from_secs(1), "the change did not wait");
        let answer = passed_on.await;
        let waited = elapsed() - begun;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status == 503 && text.contains("did not answer within 30 s"), "{text}");
        assert!((30..31).contains(&waited.as_secs()), "{waited:?}");
    });
}
