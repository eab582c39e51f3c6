// Package collect samples the use of a SlapOS node and its partitions. Each call samples processes,
// folders, disks, network and load into a SQLite database beside the partitions. Of finished days
// it makes tables as text, and a journal each for the report pass.
//
// The database is collector.db, with SlapOS's own tables user, folder, computer, system, disk,
// temperature and heating. The last stays empty, as heating a room is not measured.
//
// Elsewhere than on Linux there is nothing to be seen.
package collect

// schema are the tables and their columns, by SlapOS's names, types and units, as software in
// partitions reads them; each has date (YYYY-MM-DD), time (HH:MM:SS), both of UTC, and reported (0
// or 1) besides. The partition of user and folder is the name of its user, process is PID-START in
// seconds since 1970, memory and disks are in bytes, folders in KiB; partition_list is the disks'
// DEVICE=MOUNT;...
var schema = []struct{ table, columns string }{
	{
		"user",
		"partition TEXT, pid REAL, process TEXT, cpu_percent REAL, cpu_time REAL, cpu_num_threads REAL, memory_percent REAL, memory_rss REAL, io_rw_counter REAL, io_cycles_counter REAL",
	},
	{"folder", "partition TEXT, disk_used REAL"},
	{"computer", "cpu_num_core REAL, cpu_frequency REAL, cpu_type TEXT, memory_size REAL, memory_type TEXT, partition_list TEXT"},
	{
		"system",
		"loadavg REAL, cpu_percent REAL, memory_used REAL, memory_free REAL, net_in_bytes REAL, net_in_errors REAL, net_in_dropped REAL, net_out_bytes REAL, net_out_errors REAL, net_out_dropped REAL",
	},
	{"disk", "partition TEXT, used TEXT, free TEXT, mountpoint TEXT"},
	{"temperature", "sensor_id TEXT, temperature REAL, alarm INTEGER"},
	{
		"heating",
		"model_id TEXT, sensor_id TEXT, initial_temperature REAL, final_temperature REAL, delta_time REAL, zero_emission_ratio REAL",
	},
}
