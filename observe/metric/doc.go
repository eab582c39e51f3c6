// Package metric counts and measures for programs that watch this one from outside: counters,
// gauges and histograms, written in the text format of Prometheus (version 0.0.4). The usual
// library costs more at each start than the whole of hostler may, and does much that is not needed
// here.
//
// Labels have few values: sources, states, routes, never the names of instances, leases or people.
// A family that gets more label values than it may keeps the rest under the value "other". So a
// client that invents names cannot fill the memory.
package metric
