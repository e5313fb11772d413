use super::*;

#[test]
fn every_setting_is_read_within_its_bounds() {
    for (name, good, bad) in [
        ("listen", "[::1]:8080", "8080"),
        ("listen-tls", "[::1]:8443", "443"),
        ("listen-gate", "0.0.0.0:8081", "gate"),
        ("gate-settle", "1500ms", "2m"),
        ("tls-cert", "a.crt, b/c.crt", "a.crt,"),
        ("tls-key", "a.key", ","),
        ("tls-dir", "certificates", ""),
        ("admin", "http://127.0.0.1:9090/", "localhost"),
        ("state", "state", ""),
        ("max-starting", "4", "0"),
        ("error-detail", "brief", "some"),
        ("max-header-size", "64KiB", "2MiB"),
        ("max-connections", "1000000", "+1"),
        ("max-connections-per-client", "0", "-1"),
        ("trusted-proxies", "10.0.0.0/8, ::1", "10.0.0.0/8,"),
        ("proxy-protocol", "true", "yes"),
        ("access-log", "combined", "common"),
        ("access-log-sample", "0.01", "1.5"),
        ("queue-bytes", "1GiB", "1GB"),
        ("drain-timeout", "1m", "30"),
        ("log-level", "debug", "DEBUG"),
    ] {
        assert!(NAMES.contains(&name));
        let mut settings = Settings::default();
        assert!(settings.set(name, bad).unwrap_err().starts_with("allowed is "), "{name}");
        assert_eq!(settings, Settings::default());
        settings.set(name, good).unwrap();
        assert_ne!(settings, Settings::default(), "{name}");
        assert_eq!(Settings::default().or(&settings), settings);
        assert_eq!(Settings::default().differing(&settings), [name]);
    }
}

#[test]
fn trusted_proxies_are_ranges_within_a_bound() {
    let read = trusted_proxies("10.0.0.0/8, fd00::/8,192.0.2.7").unwrap();
    let trusts = |text: &str| read.iter().any(|network| network.contains(text.parse().unwrap()));
    assert!(trusts("10.1.2.3") && trusts("fd00::1") && trusts("192.0.2.7"));
    assert!(!trusts("192.0.2.8") && !trusts("127.0.0.1"));
    for bad in ["", "all", "10.0.0.0/33", "10.0.0.0/8 fd00::/8", "proxy.example.com", "10.0.0.1:80"] {
        assert!(trusted_proxies(bad).unwrap_err().contains("such as 10.0.0.0/8"), "{bad}");
    }
    assert!(trusted_proxies(&["::1"; TRUSTED].join(",")).is_ok());
    assert!(trusted_proxies(&["::1"; TRUSTED + 1].join(",")).is_err());
}

#[test]
fn a_share_is_a_number_or_a_word() {
    let read = |text| access_log_sample(text).ok();
    assert_eq!(["0", "1", "0.5", ".25", "errors"].map(read), [0.0, 1.0, 0.5, 0.25, 0.0].map(Some));
    for bad in ["", "-0.1", "1.1", "1e-1", "nan", "inf", "50%", "all", "+1"] {
        assert_eq!(read(bad), None, "{bad}");
    }
}

#[test]
fn what_was_said_first_stands() {
    let (mut flags, mut file) = (Settings::default(), Settings::default());
    flags.set("listen", "127.0.0.1:1").unwrap();
    file.set("listen", "127.0.0.1:2").unwrap();
    file.set("drain-timeout", "1s").unwrap();
    let both = flags.or(&file);
    assert_eq!(both.listen, flags.listen);
    assert_eq!(both.drain_timeout, Some(Duration::from_secs(1)));
}
