//! Mutations of the isolation profile: each removes one hardening.

mod resources;

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, HealthConfig, HostConfig,
    HostConfigCgroupnsModeEnum, PortBinding,
};

/// The field whose difference must be found, and the change that weakens it.
pub(in crate::engine::docker::verify) type Mutation = (&'static str, fn(&mut ContainerCreateBody));

fn strings(list: &[&str]) -> Option<Vec<String>> {
    Some(list.iter().map(|&item| item.to_owned()).collect())
}

fn host(body: &mut ContainerCreateBody) -> &mut HostConfig {
    body.host_config.get_or_insert_default()
}

fn security(body: &mut ContainerCreateBody) -> &mut Vec<String> {
    host(body).security_opt.get_or_insert_default()
}

fn without_ulimit(body: &mut ContainerCreateBody, name: &str) {
    let ulimits = host(body).ulimits.get_or_insert_default();
    ulimits.retain(|ulimit| ulimit.name.as_deref() != Some(name));
}

/// All mutations. Each must be found as a difference of `Hardening`.
pub(in crate::engine::docker::verify) fn mutations() -> Vec<Mutation> {
    [
        identity(),
        privileges(),
        host_access(),
        namespaces(),
        network(),
        resources::all(),
    ]
    .concat()
}

fn identity() -> Vec<Mutation> {
    vec![
        ("Config.User", |body| body.user = None),
        ("Config.User", |body| body.user = Some("0:0".to_owned())),
        ("Config.User", |body| body.user = Some("1000:0".to_owned())),
        ("Config.Entrypoint", |body| {
            body.entrypoint = strings(&["/bin/sh"])
        }),
        ("Config.Cmd", |body| body.cmd = strings(&["--more"])),
        ("Config.Healthcheck", |body| {
            body.healthcheck = Some(HealthConfig {
                test: strings(&["CMD", "/bin/true"]),
                ..HealthConfig::default()
            });
        }),
        ("HostConfig.GroupAdd", |body| {
            host(body).group_add = strings(&["0"])
        }),
    ]
}

fn privileges() -> Vec<Mutation> {
    vec![
        ("HostConfig.CapDrop", |body| host(body).cap_drop = None),
        ("HostConfig.CapDrop", |body| {
            host(body).cap_drop = strings(&["NET_RAW"])
        }),
        ("HostConfig.CapAdd", |body| {
            host(body).cap_add = strings(&["SYS_ADMIN"])
        }),
        ("HostConfig.SecurityOpt.no-new-privileges", |body| {
            security(body).retain(|option| !option.starts_with("no-new-privileges"));
        }),
        ("HostConfig.SecurityOpt.no-new-privileges", |body| {
            security(body)[0] = "no-new-privileges:false".to_owned();
        }),
        ("HostConfig.SecurityOpt.seccomp", |body| {
            security(body).retain(|option| !option.starts_with("seccomp"));
        }),
        ("HostConfig.SecurityOpt.seccomp", |body| {
            security(body)[1] = "seccomp=unconfined".to_owned();
        }),
        ("HostConfig.SecurityOpt.seccomp", |body| {
            security(body)[1] = r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#.to_owned();
        }),
        ("HostConfig.SecurityOpt.seccomp", |body| {
            security(body).push("seccomp=unconfined".to_owned());
        }),
        ("HostConfig.SecurityOpt.apparmor", |body| {
            security(body).push("apparmor=unconfined".to_owned());
        }),
        ("HostConfig.SecurityOpt.label", |body| {
            security(body).push("label=disable".to_owned())
        }),
        ("HostConfig.Privileged", |body| {
            host(body).privileged = Some(true)
        }),
    ]
}

fn host_access() -> Vec<Mutation> {
    vec![
        ("HostConfig.Devices", |body| {
            host(body).devices = Some(vec![DeviceMapping {
                path_on_host: Some("/dev/null".to_owned()),
                path_in_container: Some("/dev/more".to_owned()),
                cgroup_permissions: Some("rwm".to_owned()),
            }]);
        }),
        ("HostConfig.DeviceRequests", |body| {
            host(body).device_requests = Some(vec![DeviceRequest {
                count: Some(-1),
                ..DeviceRequest::default()
            }]);
        }),
        ("HostConfig.DeviceCgroupRules", |body| {
            host(body).device_cgroup_rules = strings(&["c 1:3 rwm"]);
        }),
        ("HostConfig.MaskedPaths", |body| {
            host(body).masked_paths = Some(Vec::new())
        }),
        ("HostConfig.MaskedPaths", |body| {
            host(body).masked_paths = strings(&["/proc/acpi"])
        }),
        ("HostConfig.ReadonlyPaths", |body| {
            host(body).readonly_paths = Some(Vec::new())
        }),
        ("HostConfig.Runtime", |body| {
            host(body).runtime = Some("other".to_owned())
        }),
        ("HostConfig.Annotations", |body| {
            host(body).annotations = Some(HashMap::from([("a".to_owned(), "b".to_owned())]));
        }),
        ("HostConfig.Sysctls", |body| {
            let sysctl = ("net.ipv4.ip_forward".to_owned(), "1".to_owned());
            host(body).sysctls = Some(HashMap::from([sysctl]));
        }),
    ]
}

fn namespaces() -> Vec<Mutation> {
    vec![
        ("HostConfig.PidMode", |body| {
            host(body).pid_mode = Some("host".to_owned())
        }),
        ("HostConfig.IpcMode", |body| {
            host(body).ipc_mode = Some("host".to_owned())
        }),
        ("HostConfig.IpcMode", |body| {
            host(body).ipc_mode = Some("shareable".to_owned())
        }),
        ("HostConfig.UTSMode", |body| {
            host(body).uts_mode = Some("host".to_owned());
            body.hostname = None;
        }),
        ("HostConfig.UsernsMode", |body| {
            host(body).userns_mode = Some("host".to_owned())
        }),
        ("HostConfig.CgroupnsMode", |body| {
            host(body).cgroupns_mode = Some(HostConfigCgroupnsModeEnum::HOST);
        }),
        ("HostConfig.CgroupParent", |body| {
            host(body).cgroup_parent = Some("/elsewhere".to_owned());
        }),
    ]
}

fn network() -> Vec<Mutation> {
    vec![
        ("HostConfig.NetworkMode", |body| {
            host(body).network_mode = None
        }),
        ("HostConfig.NetworkMode", |body| {
            host(body).network_mode = Some("bridge".to_owned())
        }),
        ("NetworkSettings.Networks", |body| {
            host(body).network_mode = Some("host".to_owned())
        }),
        ("HostConfig.Dns", |body| host(body).dns = None),
        ("HostConfig.DnsSearch", |body| host(body).dns_search = None),
        ("HostConfig.DnsOptions", |body| {
            host(body).dns_options = strings(&["debug"])
        }),
        ("HostConfig.ExtraHosts", |body| {
            host(body).extra_hosts = strings(&["a:127.0.0.1"])
        }),
        ("HostConfig.ExtraHosts", |body| {
            host(body)
                .extra_hosts
                .get_or_insert_default()
                .push("a:203.0.113.1".to_owned());
        }),
        ("HostConfig.Links", |body| {
            host(body).links = strings(&["other:alias"])
        }),
        ("HostConfig.PublishAllPorts", |body| {
            host(body).publish_all_ports = Some(true)
        }),
        ("HostConfig.PortBindings", |body| {
            let binding = vec![PortBinding {
                host_ip: None,
                host_port: Some("65000".to_owned()),
            }];
            let bindings = HashMap::from([("80/tcp".to_owned(), Some(binding))]);
            host(body).port_bindings = Some(bindings);
        }),
    ]
}
