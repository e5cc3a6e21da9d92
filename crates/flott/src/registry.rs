//! The one list of connectors, formats and functions.

use flott_connector::factory::Registry;
use flott_function::AggregateKind;
use flott_function::scalar::ScalarFunction;

/// Everything that is built in. An embedding program may add its own and pass the registry to its session.
pub fn default_registry() -> Registry {
    let mut registry = Registry::default();
    let connectors = flott_connector_basic::connectors().into_iter().chain(flott_connector_files::connectors());
    connectors.for_each(|c| registry.add_connector(c));
    #[cfg(feature = "http")]
    flott_connector_http::connectors().into_iter().for_each(|c| registry.add_connector(c));
    #[cfg(feature = "kafka")]
    flott_connector_kafka::connectors().into_iter().for_each(|c| registry.add_connector(c));
    #[cfg(feature = "nats")]
    flott_connector_nats::connectors().into_iter().for_each(|c| registry.add_connector(c));
    #[cfg(feature = "redis")]
    flott_connector_redis::connectors().into_iter().for_each(|c| registry.add_connector(c));
    flott_format::formats().into_iter().for_each(|f| registry.add_format(f));
    #[cfg(feature = "schema-registry")]
    {
        let registries = std::sync::Arc::new(flott_connector_schema_registry::ConfluentRegistries);
        flott_format::registry_formats(registries).into_iter().for_each(|f| registry.add_format(f));
    }
    #[cfg(feature = "wasm")]
    registry.add_function_language(std::sync::Arc::new(flott_wasm::WasmLanguage::default()));
    registry
}

/// The scalar functions.
pub fn functions() -> impl Iterator<Item = &'static ScalarFunction> {
    flott_function::scalar::functions()
}

/// The aggregate functions that SQL can name.
pub fn aggregates() -> impl Iterator<Item = AggregateKind> {
    AggregateKind::ALL.into_iter().filter(|kind| !kind.name().starts_with('$'))
}

/// The names of all functions, sorted, as SHOW FUNCTIONS lists them.
pub fn function_names() -> Vec<String> {
    let mut names: Vec<String> = functions()
        .map(|f| f.name)
        .chain(aggregates().map(AggregateKind::name))
        .chain(["CAST", "TRY_CAST"])
        .map(str::to_lowercase)
        .collect();
    names.sort();
    names.dedup();
    names
}
