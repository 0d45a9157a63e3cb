//! Against a name server of the test's own.

use std::collections::HashSet;

use hickory_proto::op::ResponseCode;

use super::*;
use crate::testing::{Server, Zone, data};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

async fn addresses(upstream: &Upstream, text: &str) -> Result<Vec<String>, ResolveError> {
    let resolved = upstream.resolve(&name(text)).await?;
    Ok(resolved.addresses.iter().map(IpAddr::to_string).collect())
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn both_families_once_and_no_search_domain() {
    let server = Server::start().await;
    server.has("www.example", &["93.184.216.34", "2606:4700::1111", "93.184.216.35"]);
    let upstream = server.upstream();
    let expected = Ok(strings(&["93.184.216.34", "93.184.216.35", "2606:4700::1111"]));
    assert_eq!(addresses(&upstream, "www.example").await, expected);
    assert_eq!(server.asked(), ["www.example A", "www.example AAAA"]);
    assert_eq!(addresses(&upstream.for_sandbox(), "WWW.example.").await, expected, "another sandbox, kept");
    assert_eq!(server.asked(), [""; 0]);
    assert_eq!(addresses(&upstream, "missing.example").await, Err(ResolveError::NoSuchName));
    assert_eq!(server.asked(), ["missing.example A", "missing.example AAAA"], "not missing.example.evil.example");
}

#[tokio::test]
async fn one_family_is_enough() {
    let server = Server::start().await;
    server.has("six.example", &["2606:4700::1111"]);
    server.has("four.example", &["93.184.216.34"]);
    server.has("none.example", &[]);
    let upstream = server.upstream();
    assert_eq!(addresses(&upstream, "six.example").await, Ok(strings(&["2606:4700::1111"])));
    assert_eq!(addresses(&upstream, "four.example").await, Ok(strings(&["93.184.216.34"])));
    assert_eq!(addresses(&upstream, "none.example").await, Err(ResolveError::NoAddress));
}

#[tokio::test]
async fn chains_of_aliases_end() {
    let server = Server::start().await;
    server.has("www.example", &["cdn.example."]);
    server.has("cdn.example", &["edge.example."]);
    server.has("edge.example", &["93.184.216.34"]);
    server.has("a.example", &["b.example."]);
    server.has("b.example", &["a.example."]);
    let upstream = server.upstream();
    assert_eq!(addresses(&upstream, "www.example").await, Ok(strings(&["93.184.216.34"])));
    server.asked();
    assert!(addresses(&upstream, "a.example").await.is_err());
    assert!(server.asked().len() <= 32, "a loop is left after some steps");
}

#[tokio::test]
async fn a_ttl_of_zero_is_a_second_and_then_the_new_address_holds() {
    let server = Server::start().await;
    server.set("rebind.example", Zone::Has(0, vec![data("93.184.216.34")]));
    let upstream = server.upstream();
    assert_eq!(addresses(&upstream, "rebind.example").await, Ok(strings(&["93.184.216.34"])));
    server.set("rebind.example", Zone::Has(0, vec![data("127.0.0.1")]));
    assert_eq!(addresses(&upstream, "rebind.example").await, Ok(strings(&["93.184.216.34"])));
    tokio::time::sleep(LEAST_TTL + Duration::from_millis(50)).await;
    // That the address is not allowed is for the policy to say, with each flow.
    assert_eq!(addresses(&upstream, "rebind.example").await, Ok(strings(&["127.0.0.1"])));
}

#[tokio::test]
async fn how_long_answers_hold() {
    let server = Server::start().await;
    server.set("short.example", Zone::Has(7, vec![data("93.184.216.34")]));
    server.set("long.example", Zone::Has(86400, vec![data("93.184.216.34")]));
    let upstream = server.upstream();
    let short = upstream.resolve(&name("short.example")).await.unwrap().ttl;
    assert!(short <= Duration::from_secs(7) && short > Duration::from_secs(1), "{short:?}");
    let long = upstream.resolve(&name("long.example")).await.unwrap().ttl;
    assert!(long <= MOST_TTL && long > Duration::from_secs(60), "{long:?}");
}

#[tokio::test]
async fn failures_are_told_apart_from_absence() {
    let server = Server::start().await;
    server.set("servfail.example", Zone::Code(ResponseCode::ServFail));
    server.set("refused.example", Zone::Code(ResponseCode::Refused));
    server.set("silent.example", Zone::Silence);
    server.set("forged.example", Zone::WrongId(vec![data("10.6.6.6")]));
    let upstream = server.upstream();
    for failing in ["servfail.example", "refused.example", "silent.example", "forged.example"] {
        let found = addresses(&upstream, failing).await;
        assert!(matches!(found, Err(ResolveError::Unreachable(_))), "{failing}: {found:?}");
    }
}

#[tokio::test]
async fn no_server_at_all() {
    let server = Server::start().await;
    let sources = server.sources();
    drop(server);
    std::fs::create_dir_all(sources.resolv_conf.parent().unwrap()).unwrap();
    std::fs::write(&sources.resolv_conf, "nameserver 127.0.0.1\n").unwrap();
    let found = addresses(&Upstream::new(&sources), "www.example").await;
    assert!(matches!(found, Err(ResolveError::Unreachable(_))), "{found:?}");
    std::fs::remove_dir_all(sources.resolv_conf.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn a_cut_answer_is_asked_for_over_tcp() {
    let server = Server::start().await;
    server.set("big.example", Zone::OverTcp(vec![data("93.184.216.34")]));
    let upstream = server.upstream();
    assert_eq!(addresses(&upstream, "big.example").await, Ok(strings(&["93.184.216.34"])));
    assert!(server.asked().iter().filter(|asked| *asked == "big.example A").count() >= 2);
}

#[tokio::test]
async fn the_hosts_own_table_comes_first_and_is_read_again() {
    let server = Server::start().await;
    server.has("db.example", &["93.184.216.34"]);
    let sources = server.sources();
    std::fs::write(&sources.hosts, "10.0.0.5 db.example\n").unwrap();
    let upstream = Upstream::new(&sources);
    assert_eq!(addresses(&upstream, "db.example").await, Ok(strings(&["10.0.0.5"])));
    assert_eq!(server.asked(), [""; 0]);
    std::fs::write(&sources.hosts, "10.0.0.66 db.example # moved\n").unwrap();
    assert_eq!(addresses(&upstream, "db.example").await, Ok(strings(&["10.0.0.66"])));
    std::fs::remove_file(&sources.hosts).unwrap();
    assert_eq!(addresses(&upstream, "db.example").await, Ok(strings(&["93.184.216.34"])));
}

#[tokio::test]
async fn another_list_of_servers_is_another_network() {
    let (old, new) = (Server::start().await, Server::start().await);
    old.has("www.example", &["93.184.216.34"]);
    let sources = old.sources();
    let upstream = Upstream::new(&sources);
    assert_eq!(addresses(&upstream, "www.example").await, Ok(strings(&["93.184.216.34"])));
    old.has("www.example", &["93.184.216.99"]);
    std::fs::write(&sources.resolv_conf, "# another network\nnameserver 127.0.0.1\n").unwrap();
    assert_eq!(addresses(&upstream, "www.example").await, Ok(strings(&["93.184.216.99"])), "nothing was kept");
    drop(new);
}

#[tokio::test]
async fn localhost_is_nobody_elses() {
    let server = Server::start().await;
    server.has("localhost", &["93.184.216.34"]);
    let sources = server.sources();
    std::fs::write(&sources.hosts, "10.0.0.5 localhost a.localhost\n").unwrap();
    let upstream = Upstream::new(&sources);
    for local in ["localhost", "a.localhost"] {
        assert_eq!(addresses(&upstream, local).await, Ok(strings(&["127.0.0.1", "::1"])));
    }
    assert_eq!(server.asked(), [""; 0]);
}

#[tokio::test]
async fn the_same_question_goes_out_once_however_many_wait() {
    let server = Server::start().await;
    server.has("www.example", &["93.184.216.34"]);
    let upstream = server.upstream();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let upstream = upstream.clone();
        waiting.spawn(async move { upstream.resolve(&name("www.example")).await.is_ok() });
    }
    assert!(waiting.join_all().await.into_iter().all(|found| found));
    assert_eq!(server.asked(), ["www.example A", "www.example AAAA"]);
}

#[tokio::test]
async fn a_sandbox_brings_up_so_many_new_names_and_no_other_suffers() {
    let server = Server::start().await;
    let upstream = server.upstream();
    let long = |n: usize| format!("{n:060}.{n:060}.{n:060}.example");
    let mut refused = 0;
    for n in 0..200 {
        refused += usize::from(addresses(&upstream, &long(n)).await == Err(ResolveError::TooManyNames));
    }
    let asked: HashSet<_> = server.asked().into_iter().collect();
    let bound = budget::BURST as usize / long(0).len() + 20;
    assert!(refused > 0 && asked.len() <= 2 * bound, "{refused} {}", asked.len());
    assert_eq!(addresses(&upstream.for_sandbox(), &long(1000)).await, Err(ResolveError::NoSuchName));
}
