//! AWS's Lambda Web Adapter, put together as its own program does it.

use lambda_web_adapter::{tracing, Adapter, AdapterOptions, Error};

fn main() -> Result<(), Error> {
    Adapter::apply_runtime_proxy_config();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        tracing::init_default_subscriber();
        let mut adapter = Adapter::new(&AdapterOptions::default())?;
        adapter.register_default_extension();
        adapter.check_init_health().await;
        adapter.run().await
    })
}
