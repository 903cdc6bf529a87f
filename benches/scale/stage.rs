//! What one run works in: a control plane, a simulated PostHog with many projects, and a policy object for each policy.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use control_plane::ControlPlane;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use posthog_simulator::{Clock, Scenario, Server, Simulator};
use serde_json::json;
use tokio::runtime::Runtime;
use warehouse_sync_operator::{
    api::{WarehouseSyncPolicy, names::REQUESTED_AT},
    cli::crd_yaml,
};

use crate::{
    data::{self, Mix, key, scenario},
    operator::Operator,
    say,
};

/// Tables of a project: ten sources with a hundred each.
pub const TABLES: usize = 1_000;
/// Sources of a project.
const SOURCES: usize = 10;
/// Sources of the one project that needs more than one page of a list.
const MANY_SOURCES: usize = 250;
/// Objects that are made at the same time.
pub const AT_ONCE: usize = 32;

/// The operator's account, and its namespace.
const OPERATOR: &str = "warehouse-sync-operator";

/// What the operator needs in the whole cluster, and no more.
const ROLE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: scale}
rules:
  - {apiGroups: [warehousesync.dev], resources: [warehousesyncpolicies], verbs: [get, list, watch]}
  - {apiGroups: [warehousesync.dev], resources: [warehousesyncpolicies/status], verbs: [patch]}
  - {apiGroups: [''], resources: [secrets], verbs: [get, list, watch]}
  - {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
  - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}
  - {apiGroups: [admissionregistration.k8s.io], resources: [validatingadmissionpolicies, validatingadmissionpolicybindings], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: scale}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: scale}
subjects: [{kind: ServiceAccount, name: warehouse-sync-operator, namespace: warehouse-sync-operator}]
";

/// Policies and tables of a run.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub policies: usize,
    pub tables: usize,
}

impl Size {
    pub fn projects(self) -> usize {
        self.tables / TABLES
    }

    /// Policies of one project.
    pub fn each(self) -> usize {
        self.policies / self.projects()
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<usize>().map_err(|error| error.to_string());
        let (policies, tables) = text.split_once(':').ok_or("write POLICIES:TABLES")?;
        let size = Self {
            policies: number(policies)?,
            tables: number(tables)?,
        };
        let projects = size.projects();
        let fits =
            projects > 0 && tables.ends_with("000") && size.policies.is_multiple_of(projects);
        if fits && (10..=100).contains(&size.each()) {
            Ok(size)
        } else {
            Err("a project has 1,000 tables and 10 to 100 policies".to_owned())
        }
    }
}

pub struct Stage {
    // In the order in which they must end.
    pub posthog: Server,
    pub runtime: Runtime,
    pub client: Client,
    pub plane: ControlPlane,
    pub size: Size,
    pub interval: Duration,
    kubeconfig: PathBuf,
    binary: PathBuf,
}

impl Stage {
    pub fn new(size: Size, interval: Duration, binary: &Path) -> Self {
        let sizes: Vec<data::Size> = (0..size.projects()).map(|n| project(n, size)).collect();
        let stage = Self::bare(&scenario(&sizes, Mix::Healthy), size, interval, binary);
        stage.runtime.block_on(stage.create());
        stage
    }

    /// One with these projects, and no policy yet.
    pub fn bare(scenario: &Scenario, size: Size, interval: Duration, binary: &Path) -> Self {
        let plane = ControlPlane::start().unwrap();
        plane.apply(&crd_yaml().unwrap()).unwrap();
        plane
            .apply(include_str!("../../deploy/admission.yaml"))
            .unwrap();
        plane
            .wait_for_crd("warehousesyncpolicies.warehousesync.dev")
            .unwrap();
        // The admission policies know the operator's account by this name.
        plane.kubectl(["create", "namespace", OPERATOR]).unwrap();
        let kubeconfig = plane
            .service_account_kubeconfig(OPERATOR, OPERATOR)
            .unwrap();
        plane.apply(ROLE).unwrap();
        let simulator = Simulator::from_scenario(scenario, Clock::real()).unwrap();
        let runtime = Runtime::new().unwrap();
        let client = runtime.block_on(plane.client()).unwrap();
        Self {
            posthog: Server::start(simulator).unwrap(),
            runtime,
            client,
            plane,
            size,
            interval,
            kubeconfig,
            binary: binary.to_owned(),
        }
    }

    async fn create(&self) {
        let (projects, each) = (self.size.projects(), self.size.each());
        say(&format!(
            "{projects} projects, each of {TABLES} tables, {each} policies, a namespace and a key of its own"
        ));
        stream::iter(0..projects)
            .map(|project| self.create_namespace(project))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await
            .unwrap();
        let all = (0..projects).flat_map(|project| (0..each).map(move |number| (project, number)));
        stream::iter(all)
            .map(|(project, number)| self.create_policy(project, number))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await
            .unwrap();
        say("the policies are there");
    }

    pub async fn create_namespace(&self, project: usize) -> Result<(), kube::Error> {
        let name = namespace(project);
        let object: Namespace =
            serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        Api::all(self.client.clone())
            .create(&PostParams::default(), &object)
            .await?;
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": "posthog", "labels": {"warehousesync.dev/use": "posthog-api-key"}},
            "stringData": {"api-key": key(id(project))},
        }))
        .unwrap();
        let api = Api::namespaced(self.client.clone(), &name);
        api.create(&PostParams::default(), &secret).await?;
        Ok(())
    }

    async fn create_policy(&self, project: usize, number: usize) -> Result<(), kube::Error> {
        let more = json!({"selector": self.selector(project, number)});
        self.create_policy_with(project, number, more).await
    }

    /// Makes a policy with these additional fields in its spec.
    pub async fn create_policy_with(
        &self,
        project: usize,
        number: usize,
        more: serde_json::Value,
    ) -> Result<(), kube::Error> {
        let mut policy = json!({
            "apiVersion": "warehousesync.dev/v1alpha1",
            "kind": "WarehouseSyncPolicy",
            "metadata": {"name": name(number)},
            "spec": {
                "mode": "Enforce",
                "posthog": {
                    "host": self.posthog.url(),
                    "projectId": id(project),
                    "apiKeySecretRef": {"name": "posthog", "key": "api-key"},
                },
                "interval": format!("{}s", self.interval.as_secs()),
                "health": {
                    "stuck": {"after": "2s", "noProgressFor": "2s", "loadingSilentFor": "4s"},
                    "failing": {"for": "0s"},
                },
            },
        });
        if let (Some(spec), serde_json::Value::Object(more)) =
            (policy["spec"].as_object_mut(), more)
        {
            spec.extend(more);
        }
        let policy: WarehouseSyncPolicy = serde_json::from_value(policy).unwrap();
        let api = Api::namespaced(self.client.clone(), &namespace(project));
        api.create(&PostParams::default(), &policy).await?;
        Ok(())
    }

    /// Every policy of a project selects its share of the tables: some of each source, or all of some sources where there are
    /// many.
    fn selector(&self, project: usize, number: usize) -> serde_json::Value {
        let each = self.size.each();
        let own =
            |parts: usize| (1..=parts).filter(move |part| (part - 1) * each / parts == number);
        if is_wide(project, self.size) {
            let prefix = |part| format!("p{}_{part:04}", id(project));
            json!({"sources": {"prefixes": own(MANY_SOURCES).map(prefix).collect::<Vec<_>>()}})
        } else {
            let glob = |part| format!("public.orders_{part:04}");
            json!({"schemas": {"include": own(TABLES / SOURCES).map(glob).collect::<Vec<_>>()}})
        }
    }

    /// Starts the operator over the whole cluster.
    pub async fn operator(&self, args: &[&str]) -> Operator {
        let log = self.plane.folder().join("operator.log");
        Operator::start(&self.binary, &self.kubeconfig, &log, args).await
    }

    /// This many tables of the source with this number, in turn of each project that has ten sources.
    pub fn tables(&self, source: usize, count: usize) -> Vec<String> {
        let simulator = self.posthog.simulator();
        let projects = (0..self.size.projects()).filter(|project| !is_wide(*project, self.size));
        let tables_of = |project| {
            let prefix = format!("p{}_{source:04}", id(project));
            simulator.schema_ids(&simulator.source_id(&prefix).unwrap())
        };
        let sources: Vec<Vec<String>> = projects.map(tables_of).collect();
        let place = |sample: usize| {
            let tables = &sources[sample % sources.len()];
            // Wide steps: neighbours may be of one policy.
            tables[sample / sources.len() * 37 % tables.len()].clone()
        };
        (0..count).map(place).collect()
    }

    /// Asks the operator, by annotation, to poll a project at once. `token` must be new.
    pub async fn request_poll(&self, project: usize, number: usize, token: &str) {
        let api: Api<WarehouseSyncPolicy> =
            Api::namespaced(self.client.clone(), &namespace(project));
        let patch = json!({"metadata": {"annotations": {REQUESTED_AT: token}}});
        api.patch_metadata(
            &name(number),
            &PatchParams::default(),
            &Patch::Merge(&patch),
        )
        .await
        .unwrap();
    }
}

/// The first of several projects has many sources with a few tables each.
pub fn is_wide(project: usize, size: Size) -> bool {
    project == 0 && size.projects() > 1
}

fn project(number: usize, size: Size) -> data::Size {
    let sources = if is_wide(number, size) {
        MANY_SOURCES
    } else {
        SOURCES
    };
    let narrow = |count: usize| u32::try_from(count).unwrap();
    data::Size {
        project: id(number),
        sources: narrow(sources),
        tables: narrow(TABLES / sources),
    }
}

/// The id of a project in PostHog.
pub fn id(project: usize) -> u64 {
    u64::try_from(project).unwrap() + 1
}

pub fn namespace(project: usize) -> String {
    format!("team-{project:03}")
}

fn name(number: usize) -> String {
    format!("policy-{number:03}")
}
