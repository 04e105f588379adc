//! The stand-in Messages API as a program: prints its URL and serves until it is killed. An argument
//! names the port; without one a free one is picked.

use std::process::ExitCode;

use cc_tests::messages_api::MessagesApi;

fn main() -> ExitCode {
    let port = match std::env::args().nth(1).map(|port| port.parse()) {
        None => 0,
        Some(Ok(port)) => port,
        Some(Err(error)) => {
            eprintln!("the port must be a number from 0 to 65535: {error}");
            return ExitCode::from(2);
        }
    };
    match MessagesApi::start_on(port) {
        Ok(api) => {
            println!("{}", api.url());
            api.serve_forever();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot listen on port {port}: {error}");
            ExitCode::FAILURE
        }
    }
}
