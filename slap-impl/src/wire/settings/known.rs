//! The keys that a slapos.cfg may hold: which are served, which are only accepted, and what a misspelt one may have meant.

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It is read.
    Served,
    /// It is accepted, and has no effect yet.
    Later,
    /// Upstream reads it no more, and refuses it.
    Gone,
    /// Anything is accepted here, as upstream does.
    Free,
}

/// Sections and their keys (slapos.cfg.example, slapos-proxy.cfg.example, and what the code of slapos.core 1.24.1 reads).
const KNOWN: &[(&str, Use, &str)] = &[
    (
        "slapos",
        Use::Served,
        "computer_id master_url master_rest_url software_root instance_root shared_part_list root_check \
         maximum_periodicity promise_timeout partition_timeout forbid_supervisord_automatic_launch \
         instance_storage_home ipv4_global_network build_time_part_list develop",
    ),
    (
        "slapos",
        Use::Later,
        "key_file cert_file certificate_repository_path master_ca_file buildout software_min_free_space \
         instance_min_free_space pidfile_software pidfile_instance pidfile_report pidfile_collect collect_cache manager_list power_user_list \
         log_file logfile verbose maximal_delay force promise_anomaly software_min_free_inode \
         instance_min_free_inode api_backward_compatibility_mode",
    ),
    (
        "slapformat",
        Use::Served,
        "partition_amount partition_base_name interface_name ipv6_interface input_definition_file \
         output_definition_file computer_xml computer_json alter_user alter_network create_tap create_tun \
         ipv4_local_network user_base_name",
    ),
    (
        "slapformat",
        Use::Later,
        "tap_ipv6 tap_gateway_interface tun_ipv6 log_file tap_base_name ipv6_prefixshift partition_has_ipv6_range \
         software_user instance_storage_home computer_model_id heating_sensor_id dry_run key_file cert_file root_check",
    ),
    ("slapformat", Use::Gone, "bridge_name no_bridge"),
    (
        "slapproxy",
        Use::Served,
        "host port database_uri software_product_list local_software_release_root server_names",
    ),
    (
        "slapproxy",
        Use::Later,
        "public_directory_path log_file shacache_content_directory \
         shacache_metadata_directory shacache_signing_key_path shacache_upstream_cache_url shacache_upstream_dir_url \
         shacache-content-directory shacache-metadata-directory shacache-signing-key-path \
         shacache-upstream-cache-url shacache-upstream-dir-url",
    ),
    ("slapconsole", Use::Later, "key_file cert_file"),
    (
        "networkcache",
        Use::Later,
        "download-cache-url download-dir-url download-binary-cache-url download-binary-dir-url upload-cache-url \
         upload-dir-url upload-binary-cache-url upload-binary-dir-url signature-private-key-file \
         signature_private_key_file signature-certificate-list shacache-ca-file shacache-cert-file shacache-key-file \
         shadir-ca-file shadir-cert-file shadir-key-file download-from-binary-cache-url-blacklist \
         upload-to-binary-cache-url-blacklist download-from-binary-cache-force-url-list binary-cache-url-blacklist",
    ),
    (
        "collect",
        Use::Later,
        "report_disk_usage disk_snapshot_time_cycle disk_snapshot_process_pid_foder disk_snapshot_use_quota enable \
         time_cycle pid_folder use_quota",
    ),
    (
        "firewall",
        Use::Later,
        "authorized_sources firewall_cmd firewall_executable dbus_executable reload_config_cmd log_file \
         dbus_log_file testing",
    ),
    ("slap", Use::Served, "supervisor_directory poll_seconds wait_seconds log_bytes_max stop_seconds"),
    ("multimaster/", Use::Served, "software_release_list computer partition"),
    ("multimaster/", Use::Later, "key cert"),
    ("manager:", Use::Free, ""),
    ("disabled-", Use::Free, ""),
];

/// What becomes of a section's key; none when nobody knows it.
pub(super) fn use_of(section: &str, key: &str) -> Option<Use> {
    entries(section).find_map(|(kind, keys)| {
        (kind == Use::Free || keys.split_whitespace().any(|known| known == key)).then_some(kind)
    })
}

/// Whether the section is one that somebody knows.
pub(super) fn is_section(section: &str) -> bool {
    entries(section).next().is_some()
}

/// The key of that section that is spelt most alike, if one is.
pub(super) fn nearest_key(section: &str, key: &str) -> Option<&'static str> {
    crate::vocabulary::nearest(key, entries(section).flat_map(|(_, keys)| keys.split_whitespace()))
}

/// The section that is spelt most alike, if one is.
pub(super) fn nearest_section(section: &str) -> Option<&'static str> {
    crate::vocabulary::nearest(section, KNOWN.iter().map(|(name, _, _)| *name))
}

fn entries(section: &str) -> impl Iterator<Item = (Use, &'static str)> {
    KNOWN
        .iter()
        .filter(move |(name, _, _)| {
            section == *name || (name.ends_with(['/', ':', '-']) && section.starts_with(name))
        })
        .map(|(_, kind, keys)| (*kind, *keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names() {
        assert_eq!(nearest_key("slapos", "master_ulr"), Some("master_url"));
        assert_eq!(nearest_key("slapos", "partition_amount"), None);
        assert_eq!(nearest_key("slapformat", "partition_amout"), Some("partition_amount"));
        assert_eq!(nearest_section("slapo"), Some("slapos"));
        assert_eq!(nearest_section("zzzzzz"), None);
    }

    #[test]
    fn sections_with_a_name() {
        assert_eq!(use_of("multimaster/https://a/", "cert"), Some(Use::Later));
        assert_eq!(use_of("multimaster/https://a/", "computer"), Some(Use::Served));
        assert_eq!(use_of("manager:devperm", "anything"), Some(Use::Free));
        assert_eq!(use_of("slapformat", "bridge_name"), Some(Use::Gone));
        assert!(!is_section("manager"));
    }
}
