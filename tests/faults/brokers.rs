//! The brokers as the service sees them: each behind a proxy.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::task::JoinSet;

use super::proxy::{Mode, Proxy};
use super::services::{Addresses, BROKERS, How, bring_back, take};

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Brokers {
    proxies: Vec<Proxy>,
    /// Where clients find them.
    pub(crate) bootstrap_servers: String,
    /// Without a proxy.
    direct: String,
}

impl Brokers {
    pub(crate) async fn new(addresses: &Addresses) -> Self {
        let mut proxies = Vec::new();
        let mut outside = Vec::new();
        for (listen, server) in &addresses.proxied {
            let proxy = Proxy::start(listen.parse().unwrap(), server.parse().unwrap());
            proxies.push(proxy.await);
            outside.push(listen.as_str());
        }
        Self {
            proxies,
            bootstrap_servers: outside.join(","),
            direct: addresses.kafka.clone(),
        }
    }

    /// Cuts the connections of one broker, or of all.
    pub(crate) fn cut(&self, broker: Option<usize>, mode: Mode) {
        for (index, proxy) in self.proxies.iter().enumerate() {
            if broker.is_none_or(|broker| broker == index) {
                proxy.set(mode);
            }
        }
    }

    /// Takes some away, together.
    pub(crate) async fn take(&self, brokers: &[usize], how: How, unmet: &mut Vec<String>) {
        let mut taking = JoinSet::new();
        for broker in brokers {
            taking.spawn(take(BROKERS[*broker], how));
        }
        unmet.extend(taking.join_all().await.into_iter().filter_map(Result::err));
    }

    pub(crate) async fn bring_back(&self, brokers: &[usize]) {
        let mut returning = JoinSet::new();
        for broker in brokers {
            returning.spawn(bring_back(BROKERS[*broker]));
        }
        returning.join_all().await;
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.direct);
        config.create().unwrap()
    }

    /// The broker that leads the first partition of a topic.
    pub(crate) async fn leader(&self, topic: &str) -> usize {
        let (admin, topic) = (self.admin(), topic.to_owned());
        let leader = tokio::task::spawn_blocking(move || {
            let metadata = admin
                .inner()
                .fetch_metadata(Some(&topic), PATIENCE)
                .unwrap();
            metadata.topics()[0].partitions()[0].leader()
        });
        leader.await.unwrap() as usize - 1
    }

    /// Removes all events of a topic, as its retention would.
    pub(crate) async fn expire(&self, topic: &str) {
        let admin = self.admin();
        let name = topic.to_owned();
        let (admin, count) = tokio::task::spawn_blocking(move || {
            let metadata = admin.inner().fetch_metadata(Some(&name), PATIENCE).unwrap();
            let count = metadata.topics()[0].partitions().len();
            (admin, count)
        })
        .await
        .unwrap();
        let mut offsets = TopicPartitionList::new();
        for partition in 0..count {
            offsets
                .add_partition_offset(topic, partition as i32, Offset::End)
                .unwrap();
        }
        let options = AdminOptions::new()
            .request_timeout(Some(PATIENCE))
            .operation_timeout(Some(PATIENCE));
        admin.delete_records(&offsets, &options).await.unwrap();
    }
}
