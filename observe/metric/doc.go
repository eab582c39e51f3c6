// Package metric counts and measures for whoever watches a program from outside: counters, gauges
// and histograms, written in the text format of Prometheus (version 0.0.4). The library for this
// costs more at each start of a program than the whole of hostler may, and does much that is not
// needed here.
//
// What is measured has labels of few values: sources, states, routes, never the names of instances,
// leases or people. A family that gets more label values than it may keeps the rest under the value
// "other", so that whoever makes names up cannot fill the memory.
package metric
