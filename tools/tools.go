// Package tools is a module of its own for what is needed to check hostler and not to build it:
// staticcheck, the check for other machines, the report of a test run, what bundles the page, and
// what renders the chart.
package tools
