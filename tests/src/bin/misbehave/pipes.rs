//! A build tool, or another agent runner, that has so many large pipes that nothing is left of the memory which the
//! kernel gives all pipes of a user together (`pipe-user-pages-soft`).

use std::io::Read as _;

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
};

/// Takes all that there is, says so, and gives it back when its standard input ends.
pub fn hoard() {
    let mut hoard = Vec::new();
    for bytes in [1 << 20, 1 << 19, 1 << 18, 1 << 17] {
        loop {
            let pipe = std::io::pipe().unwrap();
            let outcome = fcntl(&pipe.0, FcntlArg::F_SETPIPE_SZ(bytes));
            hoard.push(pipe);
            match outcome {
                Ok(_) => assert!(hoard.len() < 200, "this user has no bound"),
                Err(Errno::EPERM) => break,
                Err(errno) => panic!("F_SETPIPE_SZ: {errno}"),
            }
        }
    }
    println!("hoarded");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// What standard output holds: a number of bytes, or `no pipe`.
pub fn size_of_stdout() -> String {
    match fcntl(std::io::stdout(), FcntlArg::F_GETPIPE_SZ) {
        Ok(bytes) => bytes.to_string(),
        Err(_) => "no pipe".to_owned(),
    }
}
