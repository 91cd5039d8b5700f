//! An extension on AWS's own crate: what it learns of runs, from telemetry or from logs, it writes to its log.

use lambda_extension::{
    service_fn, Error, Extension, LambdaEvent, LambdaLog, LambdaTelemetry, NextEvent, SharedService,
};

async fn on_event(event: LambdaEvent) -> Result<(), Error> {
    match event.next {
        NextEvent::Invoke(invoke) => println!("WATCHER invoke {} {}", invoke.request_id, invoke.invoked_function_arn),
        NextEvent::Shutdown(shutdown) => println!("WATCHER shutdown {}", shutdown.shutdown_reason),
    }
    Ok(())
}

async fn on_telemetry(records: Vec<LambdaTelemetry>) -> Result<(), Error> {
    for record in records {
        println!("WATCHER telemetry {}", serde_json::to_string(&record)?);
    }
    Ok(())
}

async fn on_logs(records: Vec<LambdaLog>) -> Result<(), Error> {
    for record in records {
        println!("WATCHER log {:?}", record.record);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let extension = Extension::new().with_events_processor(service_fn(on_event));
    if std::env::var("WATCH_LOGS").is_ok() {
        extension
            .with_logs_processor(SharedService::new(service_fn(on_logs)))
            .with_log_types(&["platform", "function"])
            .run()
            .await
    } else {
        extension
            .with_telemetry_processor(SharedService::new(service_fn(on_telemetry)))
            .with_telemetry_types(&["platform", "function"])
            .run()
            .await
    }
}
