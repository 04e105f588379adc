use super::*;

fn of(step: Step, errno: Errno) -> StartError {
    explain(step, errno, "/bin/program", Some(Path::new("/there")), &[], &[])
}

#[test]
fn what_the_machine_lacks_is_told_apart_from_what_is_not_there_and_from_what_is_wrong() {
    for (step, errno) in [
        (Step::Exec, Errno::ETXTBSY),
        (Step::Exec, Errno::ENOMEM),
        (Step::Cwd, Errno::ESTALE),
        (Step::Session, Errno::EAGAIN),
    ] {
        let error = of(step, errno);
        assert!(error.is_environmental() && !error.is_not_found(), "{error}");
    }
    for (step, errno) in [(Step::Exec, Errno::ENOENT), (Step::Cwd, Errno::ENOENT)] {
        let error = of(step, errno);
        assert!(error.is_not_found() && !error.is_environmental(), "{error}");
    }
    for (step, errno) in
        [(Step::Exec, Errno::ENOEXEC), (Step::Exec, Errno::E2BIG), (Step::Cwd, Errno::EACCES)]
    {
        let error = of(step, errno);
        assert!(!error.is_not_found() && !error.is_environmental(), "{error}");
    }
}
