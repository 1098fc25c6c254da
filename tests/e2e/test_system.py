# SPDX-License-Identifier: Apache-2.0
"""The server's own face: health, version, metrics, limits of the routes (OP-5)."""

from harness import call, context


def test_health_and_version(server):
    assert call(server.operators, "GET", "/livez").body == b"ok\n"
    ready = call(server.operators, "GET", "/readyz").json()
    assert ready["ready"] and all(ready["parts"].values())
    assert call(server.operators, "GET", "/version").json()["name"] == "trothd"


def test_metric_names_are_exact(server):
    """BA-9: these three names, spelled so."""
    text = call(server.operators, "GET", "/metrics").body.decode()
    for name in ('flux_attestation_verifications_total{result="success"}',
                 'flux_attestation_verifications_total{result="failure"}',
                 "flux_attestation_rejections_total",
                 "flux_attestation_verification_duration_seconds_bucket",
                 "flux_attestation_verification_duration_seconds_sum",
                 "flux_attestation_verification_duration_seconds_count"):
        assert f"\n{name}" in "\n" + text, name
    for line in text.splitlines():
        assert line.startswith(("#", "flux_", "troth_")), line


def test_operator_routes_need_a_token(server):
    r = call(server.operators, "GET", "/api/v1/agents")
    assert r.status == 401 and r.json()["code"] == "operator_token_required"
    r = server.api("GET", "/api/v1/agents", token="tro_" + "A" * 43)
    assert r.status == 401 and r.json()["code"] == "operator_token_invalid"


def test_routes_live_on_their_listener_only(server):
    assert call(server.agents, "GET", "/api/v1/agents").status == 404
    assert call(server.operators, "POST", "/api/v1/pulse", b"x").status == 404


def test_unknown_members_are_named(server):
    r = server.api("POST", "/api/v1/tokens", {"partitoin": "a"})
    assert r.status == 400 and r.json()["code"] == "malformed"
    assert "partitoin" in r.json()["where"]


def test_tls_is_1_3_only(server):
    import ssl
    old = context()
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        call(server.agents, "GET", "/livez", tls=old)
    except (ssl.SSLError, OSError):
        return
    raise AssertionError("TLS 1.2 was accepted")


def test_a_port_in_use_is_refused_not_shared(server, make_server):
    other = make_server()
    text = other.config.read_text().replace(f":{other.agents}\"", f":{server.agents}\"")
    other.config.write_text(text)
    other.start(wait=False)
    assert other.process.wait(10) == 1
    assert "in use" in other.read_log()


def test_a_killed_server_comes_back_at_once(make_server):
    """Its fronts are still dying when the next one starts: it waits for the port instead of giving up."""
    server = make_server().start()
    for _ in range(5):
        server.kill()
        server.start()
        assert call(server.operators, "GET", "/readyz").status == 200
    server.stop()
