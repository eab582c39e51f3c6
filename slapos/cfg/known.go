package cfg

import (
	"fmt"
	"slices"
	"strings"
)

// The keys for formatting a machine; they stand in [slapformat] or in [slapos].
const ofFormat = ` computer_xml computer_json input_definition_file output_definition_file partition_amount partition_base_name user_base_name tap_base_name
	interface_name ipv6_interface ipv4_local_network ipv6_prefixshift alter_user alter_network create_tap tap_ipv6 partition_has_ipv6_range create_tun tun_ipv6
	software_user tap_gateway_interface public_ipv4_address bridge_name no_bridge computer_model_id heating_sensor_id memory_max cpu_max pids_max`

// known are the keys that have a meaning to SlapOS, by section.
var known = map[string]string{
	"slapos": `computer_id master_url master_rest_url key_file cert_file master_ca_file certificate_repository_path software_root instance_root shared_part_list
		build_time_part_list buildout partition_timeout promise_timeout maximum_periodicity maximal_delay software_min_free_space instance_min_free_space
		instance_storage_home ipv4_global_network forbid_supervisord_automatic_launch restart_services force_stop develop root_check manager_list power_user_list fetch_allow fetch_deny pidfile
		pidfile_software pidfile_instance pidfile_report log_file collect_cache host port database_uri software_product_list public_directory_path local_software_release_root` + ofFormat,
	"slapformat": ofFormat + ` computer_id instance_root software_root master_url instance_storage_home log_file key_file cert_file master_ca_file
		certificate_repository_path manager_list root_check`,
	"slapconsole": "cert_file key_file alias master_url master_rest_url master_ca_file",
	"networkcache": `download_binary_cache_url download_binary_dir_url download_cache_url download_dir_url upload_binary_cache_url upload_binary_dir_url
		upload_cache_url upload_dir_url signature_private_key_file signature_certificate_list shacache_ca_file shacache_cert_file shacache_key_file
		shadir_ca_file shadir_cert_file shadir_key_file download_from_binary_cache_url_blacklist binary_cache_url_blacklist
		upload_to_binary_cache_url_blacklist download_from_binary_cache_force_url_list`,
	"slapproxy": `host port database_uri software_product_list public_directory_path local_software_release_root server_names frontends log_file tls tls_cert tls_key ca_directory fetch_allow fetch_deny
		shacache_content_directory shacache_metadata_directory shacache_upstream_cache_url shacache_upstream_dir_url shacache_size computer_id`,
	"collect": "enable time_cycle pid_folder use_quota report_disk_usage disk_snapshot_time_cycle disk_snapshot_process_pid_foder disk_snapshot_use_quota",
}

// Unknown are the keys of [slapos], [slapformat], [slapconsole], [networkcache], [slapproxy] and
// [collect] that have no meaning there, a sentence for each in the order of their lines. Other
// sections are other programs', or have keys of their own.
func (f *File) Unknown() []string {
	var found []value
	for section, keys := range known {
		of := strings.Fields(keys)
		for key, v := range f.sections[section] {
			if !slices.Contains(of, key) && !strings.HasPrefix(key, "shacache_") {
				v.text = section
				found = append(found, v)
			}
		}
	}
	slices.SortFunc(found, func(a, b value) int { return a.line - b.line })
	var notes []string
	for _, v := range found {
		notes = append(notes, fmt.Sprintf("%s, line %d: %s in [%s] has no meaning here", f.Path, v.line, v.key, v.text))
	}
	return notes
}
