//! Where a thread is to be made and none can be.

/// What is wrong where no thread can be made, and what to do.
pub(crate) const NO_THREAD: &str = "no thread could be made: too many processes run already, or there is too little memory; raise \
                      the limit (ulimit -u, ulimit -v; in a service TasksMax= and LimitNPROC=) or start it again later";
