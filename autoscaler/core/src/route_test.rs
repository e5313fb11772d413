//! Routes: precedence of hosts, paths and conditions; the look-up against trying every claim.

use proptest::prelude::*;

use crate::condition::{Asked, Condition, Over};
use crate::host::HostPattern;
use crate::id::WorkloadId;
use crate::pattern::Pattern;
use crate::route::{Claim, Conflict, Leads, Matching, Route, RouteTable, Split};

fn table(claims: &[(&str, &str)]) -> (RouteTable, Vec<Conflict>) {
    let ids: Vec<_> = (0..claims.len()).map(|at| WorkloadId::new("local", &format!("w{at}"))).collect();
    let hosts: Vec<_> = claims.iter().map(|(host, _)| vec![HostPattern::parse(host).unwrap()]).collect();
    let claims: Vec<_> = claims
        .iter()
        .enumerate()
        .map(|(at, (_, path))| Claim { id: &ids[at], hosts: &hosts[at], path })
        .collect();
    RouteTable::build(&claims)
}

#[test]
fn the_most_exact_host_wins_then_the_longest_path() {
    let (table, conflicts) = table(&[
        ("*", "/"),
        ("*.test", "/"),
        ("*.shop.test", "/"),
        ("a.shop.test", "/"),
        ("a.shop.test", "/cart"),
        ("a.shop.test", "/cart/items/"),
        ("only.test", "/api"),
    ]);
    assert_eq!(conflicts, []);
    for (host, path, found) in [
        ("other", "/", Some(0)),
        ("b.test", "/x", Some(1)),
        ("test", "/", Some(0)),
        ("b.shop.test", "/", Some(2)),
        ("c.b.shop.test", "/", Some(2)),
        ("a.shop.test", "/", Some(3)),
        ("a.shop.test", "/cart", Some(4)),
        ("a.shop.test", "/cart/", Some(4)),
        ("a.shop.test", "/cartoon", Some(3)),
        ("a.shop.test", "/cart/items", Some(5)),
        ("a.shop.test", "/cart/items/1", Some(5)),
        ("only.test", "/api/v1", Some(6)),
        ("only.test", "/other", Some(1)),
    ] {
        assert_eq!(table.find(host, path), found, "{host}{path}");
    }
}

#[test]
fn the_first_of_two_equal_claims_stands() {
    let (table, conflicts) = table(&[("a.test", "/x"), ("a.test", "/x/"), ("a.test", "/y")]);
    assert_eq!(table.find("a.test", "/x"), Some(0));
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].winner.name(), "w0");
    assert_eq!(conflicts[0].route, "a.test/x/");
    assert_eq!(table.find("b.test", "/"), None);
}

/// The examples of Kubernetes' own page on Ingress (path types and hostname wildcards), and what follows from them.
#[test]
fn an_ingress_means_what_kubernetes_says() {
    use Matching::{Exact, Prefix};
    for (matching, path, asked, matches) in [
        (Prefix, "/", "/any/path", true),
        (Exact, "/foo", "/foo", true),
        (Exact, "/foo", "/bar", false),
        (Exact, "/foo", "/foo/", false),
        (Exact, "/foo/", "/foo", false),
        (Prefix, "/foo", "/foo", true),
        (Prefix, "/foo", "/foo/", true),
        (Prefix, "/foo/", "/foo", true),
        (Prefix, "/foo/", "/foo/", true),
        (Prefix, "/aaa/bb", "/aaa/bbb", false),
        (Prefix, "/aaa/bbb", "/aaa/bbb", true),
        (Prefix, "/aaa/bbb/", "/aaa/bbb", true),
        (Prefix, "/aaa/bbb", "/aaa/bbb/", true),
        (Prefix, "/aaa/bbb", "/aaa/bbb/ccc", true),
        (Prefix, "/aaa/bbb", "/aaa/bbbxyz", false),
    ] {
        let mut table = RouteTable::default();
        let host = HostPattern::Exact("a.test".to_owned());
        table.add(&host, matching, path, Route::to(7)).unwrap();
        assert_eq!(table.find("a.test", asked), matches.then_some(7), "{matching:?} {path} {asked}");
    }
    let mut table = RouteTable::default();
    let (exact, label) =
        (HostPattern::Exact("bar.foo.com".to_owned()), HostPattern::Label(".foo.com".to_owned()));
    let added = [
        (&label, Prefix, "/"),
        (&label, Exact, "/a"),
        (&exact, Prefix, "/a"),
        (&exact, Exact, "/a/b"),
        (&exact, Prefix, "/a/b"),
        (&HostPattern::Suffix(".foo.com".to_owned()), Prefix, "/"),
    ];
    for (workload, (host, matching, path)) in added.into_iter().enumerate() {
        table.add(host, matching, path, Route::to(workload)).unwrap();
    }
    assert_eq!(table.add(&exact, Prefix, "/a/b/", Route::to(9)), Err(Leads::To(4)));
    for (host, path, found) in [
        ("bar.foo.com", "/a/b", Some(3)),
        ("bar.foo.com", "/a/b/", Some(4)),
        ("bar.foo.com", "/a/c", Some(2)),
        ("bar.foo.com", "/", Some(0)),
        ("baz.foo.com", "/a", Some(1)),
        ("baz.foo.com", "/a/", Some(0)),
        ("baz.bar.foo.com", "/", Some(5)),
        ("foo.com", "/", None),
    ] {
        assert_eq!(table.find(host, path), found, "{host}{path}");
    }
}

/// A request of this method with these fields.
struct Request(bool, &'static str, &'static [(&'static str, &'static str)]);

impl Asked for Request {
    fn is_secure(&self) -> bool {
        self.0
    }

    fn meets(&self, condition: &Condition) -> bool {
        let has = |(name, value): &(Box<str>, Box<str>)| self.2.contains(&(&**name, &**value));
        condition.method.as_deref().is_none_or(|method| method == self.1) && condition.headers.iter().all(has)
    }
}

fn when(method: Option<&str>, headers: &[(&str, &str)]) -> Condition {
    Condition {
        method: method.map(Into::into),
        headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        query: Box::default(),
    }
}

#[test]
fn of_one_path_the_route_that_asks_for_more_comes_first() {
    let host = HostPattern::Exact("a.test".to_owned());
    let mut table = RouteTable::default();
    let (get, one) = (when(Some("GET"), &[]), when(None, &[("x", "1")]));
    let (two, other) = (when(None, &[("x", "1"), ("y", "2")]), when(None, &[("y", "2")]));
    let both = when(Some("GET"), &[("x", "1")]);
    let added = [
        ("/a", Over::Either, None),
        ("/a", Over::Either, Some(&one)),
        ("/a", Over::Either, Some(&other)),
        ("/a", Over::Either, Some(&get)),
        ("/a", Over::Either, Some(&two)),
        ("/a", Over::Either, Some(&both)),
        ("/a/b", Over::Either, Some(&two)),
        ("/a/tls", Over::Tls, None),
        ("/a/tls", Over::Plain, Some(&get)),
    ];
    for (workload, (path, over, when)) in added.into_iter().enumerate() {
        table.add_for(&host, Matching::Prefix, path, (over, when), Route::to(workload)).unwrap();
    }
    let again = table.add_for(&host, Matching::Prefix, "/a/", (Over::Plain, Some(&one)), Route::to(9));
    assert_eq!(again, Err(Leads::To(1)));
    let found = |request: &Request, path: &str| match table.route("a.test", path, request) {
        Some(Route { leads: Leads::To(workload), .. }) => Some(*workload),
        _ => None,
    };
    for (request, path, to) in [
        (Request(false, "PUT", &[]), "/a/c", 0),
        (Request(false, "PUT", &[("x", "1")]), "/a", 1),
        (Request(false, "PUT", &[("y", "2")]), "/a", 2),
        (Request(false, "PUT", &[("x", "1"), ("y", "2")]), "/a", 4),
        (Request(false, "GET", &[("y", "2")]), "/a", 3),
        (Request(false, "GET", &[("x", "1"), ("y", "2")]), "/a", 5),
        (Request(false, "PUT", &[("x", "1"), ("y", "2")]), "/a/b", 6),
        (Request(false, "GET", &[]), "/a/b", 3),
        (Request(true, "PUT", &[]), "/a/tls/1", 7),
        (Request(false, "GET", &[]), "/a/tls/1", 8),
        (Request(false, "PUT", &[]), "/a/tls/1", 0),
    ] {
        assert_eq!(found(&request, path), Some(to), "{path} {} {:?}", request.1, request.2);
    }
}

#[test]
fn requests_are_divided_by_weight() {
    let split = Split::new([(1, Some(4)), (0, Some(5)), (2, None), (1, Some(6))]);
    let quarter = 1 << 62;
    for (number, to) in [(0, Some(4)), (quarter - 1, Some(4)), (quarter, None), (3 * quarter - 1, None)] {
        assert_eq!(split.pick(number), to, "{number}");
    }
    assert_eq!((split.pick(3 * quarter), split.pick(u64::MAX)), (Some(6), Some(6)));
    assert_eq!(split.workloads().collect::<Vec<_>>(), [4, 6]);
    assert_eq!(Split::new([(0, Some(1))]).pick(7), None);
}

proptest! {
    /// The rule said again, slowly: of all claims that match, the one with the most exact host, then the longest path.
    #[test]
    fn agrees_with_trying_every_claim(
        claims in prop::collection::vec(("(\\*|(\\*\\.)?[ab](\\.[ab]){0,2})", "(/[ab]{1,2}){0,2}/?"), 0..8),
        host in "[ab](\\.[ab]){0,3}",
        path in "(/[ab]{1,2}){1,3}",
    ) {
        let claims: Vec<(&str, &str)> = claims.iter().map(|(host, path)| (host.as_str(), path.as_str())).collect();
        let (table, _) = table(&claims);
        let rank = |pattern: &str| match pattern.strip_prefix('*') {
            Some("") => Some(0),
            Some(suffix) => (host.ends_with(suffix) && host.len() > suffix.len()).then_some(suffix.len()),
            None => (host == pattern).then_some(usize::MAX),
        };
        let fits = |prefix: &str| {
            let prefix = prefix.trim_end_matches('/');
            (path == prefix || path.starts_with(&format!("{prefix}/"))).then_some(prefix.len())
        };
        let best = claims.iter().enumerate().filter_map(|(at, (host, prefix))| {
            Some(((rank(host)?, fits(prefix)?, std::cmp::Reverse(at)), at))
        });
        prop_assert_eq!(table.find(&host, &path), best.max().map(|(_, at)| at));
    }
}

proptest! {
    /// The longest text that a path begins with, and meets the condition of if there is one.
    #[test]
    fn finds_the_longest_text(
        texts in prop::collection::btree_map("/[ab]{0,4}", any::<bool>(), 0..12),
        path in "/[ab]{0,6}",
        get in any::<bool>(),
    ) {
        let (host, only_get) = (HostPattern::Exact("a.test".to_owned()), when(Some("GET"), &[]));
        let mut table = RouteTable::default();
        for (at, (text, asks)) in texts.iter().enumerate() {
            let when = asks.then_some(&only_get);
            table.add_for(&host, Matching::Text, text, (Over::Either, when), Route::to(at)).unwrap();
        }
        let met = texts.iter().enumerate().filter(|(_, (text, asks))| path.starts_with(*text) && (get || !**asks));
        let longest = met.max_by_key(|(_, (text, _))| text.len()).map(|(at, _)| Leads::To(at));
        let request = Request(false, if get { "GET" } else { "PUT" }, &[]);
        prop_assert_eq!(table.route("a.test", &path, &request).map(|route| route.leads.clone()), longest);
    }
}

#[test]
fn texts_stand_among_the_prefixes_and_patterns_before_all() {
    use Matching::{Exact, Prefix, Text};
    let mut table = RouteTable::default();
    let host = HostPattern::Exact("a.test".to_owned());
    let added = [
        (Prefix, "/"),
        (Text, "/app"),
        (Prefix, "/app/deep"),
        (Text, "/app/de"),
        (Exact, "/apple"),
        (Prefix, "/application"),
    ];
    for (workload, (matching, path)) in added.into_iter().enumerate() {
        table.add(&host, matching, path, Route::to(workload)).unwrap();
    }
    assert_eq!(table.add(&host, Text, "/app", Route::to(9)), Err(Leads::To(1)));
    let before = [
        ("/ap", Some(0)),
        ("/app", Some(1)),
        ("/apples", Some(1)),
        ("/App", Some(0)),
        ("/app/deep", Some(2)),
        ("/app/deep/er", Some(2)),
        ("/app/deeper", Some(3)),
        ("/apple", Some(4)),
        ("/application", Some(5)),
        ("/applications", Some(1)),
    ];
    for (path, found) in before {
        assert_eq!(table.find("a.test", path), found, "{path}");
    }
    for (workload, pattern) in [(6, "/a[a-z]"), (7, "/app/[a-z]+er"), (8, "/z")] {
        table
            .add_pattern(&host, &Pattern::read(pattern).unwrap(), (Over::Either, None), Route::to(workload))
            .unwrap();
    }
    for (path, found) in [("/apple", Some(6)), ("/app/deeper", Some(7)), ("/Zoo", Some(8)), ("/b", Some(0))] {
        assert_eq!(table.find("a.test", path), found, "{path}");
    }
}
