// Package collect notes what a SlapOS node and its partitions use: a sample of their processes, folders, disks, network and
// load at each call, kept in a database of SQLite beside the partitions; and what is made of finished days: tables as text,
// and a journal of each day for the report pass.
//
// The database is collector.db, with SlapOS's own tables user, folder, computer, system, disk, temperature and heating; the
// last stays empty, as heating a room is not measured.
//
// Elsewhere than on Linux there is nothing to be seen.
package collect

// schema are the tables and their columns; each has date (YYYY-MM-DD), time (HH:MM:SS), both of UTC, and reported (0 or 1) besides.
var schema = []struct{ table, columns string }{
	{"user", "partition TEXT, pid INTEGER, process TEXT, cpu_percent REAL, cpu_time REAL, cpu_num_threads INTEGER, memory_percent REAL, memory_rss INTEGER, io_rw_counter INTEGER, io_cycles_counter INTEGER"},
	{"folder", "partition TEXT, disk_used INTEGER"},
	{"computer", "cpu_num_core INTEGER, cpu_frequency REAL, cpu_type TEXT, memory_size INTEGER, memory_type TEXT, partition_list TEXT"},
	{"system", "loadavg REAL, cpu_percent REAL, memory_used INTEGER, memory_free INTEGER, net_in_bytes INTEGER, net_in_errors INTEGER, net_in_dropped INTEGER, net_out_bytes INTEGER, net_out_errors INTEGER, net_out_dropped INTEGER"},
	{"disk", "partition TEXT, used INTEGER, free INTEGER, mountpoint TEXT"},
	{"temperature", "sensor_id TEXT, temperature REAL, alarm INTEGER"},
	{"heating", "model_id TEXT, sensor_id TEXT, initial_temperature REAL, final_temperature REAL, delta_time REAL, zero_emission_ratio REAL"},
}
