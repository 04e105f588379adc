//! A client's JSON-RPC message, and the parameters of every method.
#![no_main]

use cc_protocol::{batch, control::ControlType, execute::Execute, gate, session, task, worker};
use cc_supervisor::fuzzing::fuzz_message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for call in fuzz_message(text) {
        let params = call.params;
        let _ = ControlType::from_params(&params);
        let _ = gate::GateOpen::from_params(&params);
        let _ = session::SessionResume::from_params(&params);
        let _ = session::SessionConfigure::from_params(&params);
        let _ = worker::WorkerRestart::from_params(&params);
        let _ = batch::BatchNamed::from_params(&params);
        let _ = batch::BatchList::from_params(&params);
        let _ = batch::BatchRows::from_params(&params);
        let _ = batch::BatchTask::from_params(&params);
        let _ = batch::BatchResume::from_params(&params);
        let _ = task::TaskList::from_params(&params);
        let _ = task::TaskNamed::from_params(&params);
        let _ = task::TaskAttach::from_params(&params);
        let _ = task::TaskOutput::from_params(&params);
        // What was read once is read again from what is written of it.
        if let Ok(execute) = Execute::from_params(params)
            && let Ok(serde_json::Value::Object(written)) = serde_json::to_value(&execute)
        {
            assert!(Execute::from_params(written).is_ok(), "{execute:?}");
        }
    }
});
