//! Names of hosts to addresses, where the C library is not up to it.
//!
//! The resolver of musl stops at the first search domain for which a server answers REFUSED or SERVFAIL, and takes NXDOMAIN for AAAA as
//! the answer for A too (<https://wiki.musl-libc.org/functional-differences-from-glibc.html>). glibc goes on in both cases, and so does
//! this one. Elsewhere the C library stays in charge: it may ask more than DNS.
//!
//! As in the C library, a name that `/etc/hosts` has is not looked up elsewhere: with an IPv4 address there, no server is asked for an IPv6 one.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    system_conf::parse_resolv_conf,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::OnceCell;

/// Resolves as a `resolv.conf` and `/etc/hosts` say.
#[derive(Debug, Clone)]
pub(super) struct Names {
    hosts: PathBuf,
    file: PathBuf,
    /// Port of the servers.
    port: u16,
    /// Made by the first name that is resolved, since that needs the runtime.
    resolver: Arc<OnceCell<TokioResolver>>,
}

impl Names {
    /// As the machine is configured.
    pub(super) fn of_the_machine() -> Self {
        Self::new("/etc/hosts".into(), "/etc/resolv.conf".into(), 53)
    }

    fn new(hosts: PathBuf, file: PathBuf, port: u16) -> Self {
        Self {
            hosts,
            file,
            port,
            resolver: Arc::default(),
        }
    }

    /// The addresses that the hosts file has for a name. It is read each time, because kubelet may change it.
    fn in_hosts(&self, name: &str) -> Vec<IpAddr> {
        // As with the C library, a file that cannot be read has no names.
        let text = std::fs::read_to_string(&self.hosts).unwrap_or_default();
        let name = name.trim_end_matches('.');
        let entry = |line: &str| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words
                .any(|word| word.eq_ignore_ascii_case(name))
                .then_some(address)
        };
        text.lines().filter_map(entry).collect()
    }

    async fn resolver(&self) -> Result<&TokioResolver, NetError> {
        self.resolver
            .get_or_try_init(|| async { self.make() })
            .await
    }

    fn make(&self) -> Result<TokioResolver, NetError> {
        let text = std::fs::read(&self.file).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.file.display()))
        })?;
        let (config, mut options) = parse_resolv_conf(text)?;
        let (domain, search, mut servers) = config.into_parts();
        for connection in servers
            .iter_mut()
            .flat_map(|server| &mut server.connections)
        {
            connection.port = self.port;
        }
        // The domain of the machine's own name counts only where nothing else is searched.
        let domain = domain.filter(|_| search.is_empty());
        let config = ResolverConfig::from_parts(domain, search, servers);
        // Both, so that a connection can fall back from one to the other.
        options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        // As the C library: a name that was missing must not stay so for as long as its zone says.
        options.cache_size = 0;
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let mut found = names.in_hosts(name.as_str());
            if found.is_empty() {
                let looked_up = names.resolver().await?.lookup_ip(name.as_str()).await?;
                found.extend(looked_up.iter());
            }
            // The port is that of the URL.
            let addresses: Vec<_> = (found.into_iter())
                .map(|ip| SocketAddr::new(ip, 0))
                .collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, UdpSocket},
        sync::Mutex,
    };

    use hickory_resolver::proto::{
        op::{Message, ResponseCode},
        rr::{RData, Record, RecordType},
    };

    use super::*;

    const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

    /// A DNS server, and the names that were queried.
    struct Server {
        port: u16,
        asked: Arc<Mutex<Vec<String>>>,
    }

    /// Answers `refusal` for the domain `refused.example`, an IPv4 address for `posthog.internal.`, and NXDOMAIN for all else, also for
    /// the IPv6 address of that host.
    fn server(refusal: ResponseCode) -> Server {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = asked.clone();
        std::thread::spawn(move || {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                let query = Message::from_vec(&packet[..length]).unwrap();
                let question = query.queries[0].clone();
                let name = question.name().to_ascii();
                let mut answer = query.clone().into_response();
                answer.metadata.response_code = match name.as_str() {
                    name if name.ends_with("refused.example.") => refusal,
                    "posthog.internal." if question.query_type() == RecordType::A => {
                        answer.add_answer(Record::from_rdata(
                            question.name().clone(),
                            60,
                            RData::A(HOST.into()),
                        ));
                        ResponseCode::NoError
                    }
                    _ => ResponseCode::NXDomain,
                };
                heard.lock().unwrap().push(name);
                socket.send_to(&answer.to_vec().unwrap(), from).unwrap();
            }
        });
        Server { port, asked }
    }

    async fn resolve(
        server: &Server,
        options: &str,
        name: &str,
    ) -> Result<Vec<SocketAddr>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "nameserver 127.0.0.1\nsearch data.svc.cluster.local refused.example cluster.local\noptions {options}\n"
        );
        std::fs::write(file.path(), text).unwrap();
        let names = Names::new("/nonexistent/hosts".into(), file.path().into(), server.port);
        let found = names.resolve(name.parse().unwrap()).await;
        found.map(Iterator::collect).map_err(|e| e.to_string())
    }

    #[tokio::test]
    async fn a_search_domain_that_is_refused_does_not_hide_a_name() {
        for refusal in [ResponseCode::Refused, ResponseCode::ServFail] {
            let server = server(refusal);
            let found = resolve(&server, "ndots:5", "posthog.internal").await;
            assert_eq!(
                found.unwrap(),
                [SocketAddr::new(HOST.into(), 0)],
                "{refusal}"
            );
            let asked = server.asked.lock().unwrap();
            let refused = |name: &String| name.ends_with("refused.example.");
            assert!(asked.iter().any(refused), "{asked:?}");
        }
    }

    #[tokio::test]
    async fn a_name_with_enough_dots_is_first_queried_unchanged() {
        let server = server(ResponseCode::Refused);
        let found = resolve(&server, "ndots:1", "posthog.internal").await;
        assert_eq!(found.unwrap(), [SocketAddr::new(HOST.into(), 0)]);
        let asked = server.asked.lock().unwrap();
        assert!(
            asked.iter().all(|name| name == "posthog.internal."),
            "{asked:?}"
        );
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_an_error() {
        let server = server(ResponseCode::Refused);
        let error = resolve(&server, "ndots:1", "nowhere.internal").await;
        assert!(error.unwrap_err().contains("nowhere.internal"));
    }

    #[tokio::test]
    async fn a_name_in_the_hosts_file_needs_no_server() {
        let hosts = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            hosts.path(),
            "# none\n192.0.2.7 other PostHog.test # ours\nnonsense\n",
        )
        .unwrap();
        let names = Names::new(hosts.path().into(), "/nonexistent/resolv.conf".into(), 53);
        for name in ["posthog.test", "posthog.test."] {
            let found = names.resolve(name.parse().unwrap()).await.unwrap();
            let found: Vec<_> = found.collect();
            assert_eq!(found, [SocketAddr::new(HOST.into(), 0)], "{name}");
        }
        assert!(names.resolve("ours".parse().unwrap()).await.is_err());
    }

    #[tokio::test]
    async fn without_a_configuration_no_other_server_is_queried() {
        let names = Names::new(
            "/nonexistent/hosts".into(),
            "/nonexistent/resolv.conf".into(),
            53,
        );
        let Err(error) = names.resolve("posthog.internal".parse().unwrap()).await else {
            panic!("it was resolved");
        };
        assert!(error.to_string().contains("/nonexistent/resolv.conf"));
    }
}
