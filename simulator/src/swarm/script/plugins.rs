//! What goes wrong with promises that are plugins.

use super::{Draw, Event, Role};

/// Plugins that cannot run, or that check what is not there: each is a failed promise that says why.
const STRAYS: [&str; 9] = [
    "import os\n",
    "def _(path):\n  global _\nexec(_('/srv/check.py'))\n",
    "extra_config_dict = {'path': '/'}\nfrom slapos.promise.plugin.check_socket_listening import RunPromise\n",
    "import sys\n",
    "from slapos.promise.plugin.check_neo_health import RunPromise\n",
    "extra_config_dict = {'frequency': '0', 'command': 'true'}\nfrom slapos.promise.plugin.check_command_execute import RunPromise\n",
    "extra_config_dict = {'pathname': '/run/\u{1f41a}/it\\'s', 'frequency': 1}\nfrom slapos.promise.plugin.check_socket_listening import RunPromise\n",
    "extra_config_dict = {'url': 'https://127.0.0.1/', 'verify': 1}\nfrom slapos.promise.plugin.check_url_available import RunPromise\n",
    "extra_config_dict = {'url': 'http://127.0.0.1:9/', 'username': 'u', 'password': 'p'}\nfrom slapos.promise.plugin.check_url_available import RunPromise\n",
];

/// One of those.
pub(super) fn draw(draw: &Draw<'_>, node: u32, partition: u32, milliseconds: u64) -> Event {
    let random = &draw.random;
    let behave =
        |role, line: &str| Event::Behave { node, partition, role, line: line.to_owned(), milliseconds };
    match random.below(8) {
        0 => behave(Role::CheckCommand, "check 0 0 fail"),
        1 => behave(Role::CheckCommand, "check 0 0 hang"),
        2 => {
            let seconds = random.below(40);
            behave(Role::CheckCommand, &format!("check {} 2000 pass", 1000 * seconds))
        }
        3 => behave(Role::Service, "ask 0 0 answer 503"),
        4 => behave(Role::Service, &format!("ask {} 1000 answer 200", random.below(10_000))),
        _ => {
            let text = STRAYS[random.below(STRAYS.len() as u64) as usize].to_owned();
            Event::StrayPlugin { node, partition, text, milliseconds }
        }
    }
}
