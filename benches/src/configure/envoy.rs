//! Envoy: one worker.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::Site;

/// Its bootstrap configuration.
pub(super) fn text(site: Site<'_>) -> String {
    let Site { places, upstream, certificate, asks, .. } = site;
    let tls = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
                "tls_certificates": [{
                    "certificate_chain": {"filename": certificate.chain},
                    "private_key": {"filename": certificate.key},
                }],
            },
        },
    });
    let listeners = [
        listener("h1", places.h1, "http", None, asks),
        listener("h2c", places.h2c, "http", None, asks),
        listener("tls", places.tls, "http", Some(tls), asks),
        listener("grpc", places.grpc, "grpc", None, None),
    ];
    let mut clusters =
        vec![cluster("http", upstream.address, false), cluster("grpc", upstream.grpc_address, true)];
    clusters.extend(asks.map(|asks| cluster("kaos-gate", asks, false)));
    let all = json!({"static_resources": {"listeners": listeners, "clusters": clusters}});
    format!("{all:#}\n")
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip(), "port_value": address.port()}})
}

/// Asks Kaos first, as docs/gate.md has it.
fn question(asks: SocketAddr) -> Value {
    json!({
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "http_service": {
                "server_uri": {"uri": format!("http://{asks}"), "cluster": "kaos-gate", "timeout": "70s"},
                "path_prefix": "/_kaos/gate/host",
            },
            "status_on_error": {"code": "ServiceUnavailable"},
        },
    })
}

fn listener(
    name: &str,
    address: SocketAddr,
    cluster: &str,
    tls: Option<Value>,
    asks: Option<SocketAddr>,
) -> Value {
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    });
    let filters: Vec<Value> = asks.map(question).into_iter().chain([router]).collect();
    let http = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "use_remote_address": true,
        "always_set_request_id_in_response": true,
        "route_config": {"virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}],
        }]},
        "http_filters": filters,
    });
    let filter = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": http});
    let mut chain = json!({"filters": [filter]});
    if let Some(tls) = tls {
        chain["transport_socket"] = tls;
    }
    json!({"name": name, "address": socket(address), "filter_chains": [chain]})
}

fn cluster(name: &str, address: SocketAddr, http2: bool) -> Value {
    let most = 16_384;
    let endpoint = json!({"endpoint": {"address": socket(address)}});
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [
            {"max_connections": most, "max_pending_requests": most, "max_requests": most},
        ]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    });
    if http2 {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        });
    }
    cluster
}
