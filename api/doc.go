// Package api is what a controller and its clients say to each other: the documents of HTTP, which
// `hostler --json` prints too, and the table from kinds of error to statuses and back. Names are
// snake_case, times RFC 3339, durations seconds, sizes bytes; null stands where a number has no
// limit and a time never comes. It does nothing by itself.
//
// The paths are in package server, whose OpenAPI document is made of these types.
package api
