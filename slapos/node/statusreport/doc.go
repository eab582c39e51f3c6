// Package statusreport reports to a master of ours what runs on a node: the programs of its
// partitions and the last results of their promises. It does so after changes and every five
// minutes. A master that refuses reports is left alone for an hour.
//
// Elsewhere than on Linux there is nothing to report.
package statusreport
