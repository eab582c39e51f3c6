// Package api holds the documents that a controller and its clients exchange, and the table between
// kinds of error and HTTP statuses. `hostler --json` prints the same documents.
//
// Names are snake_case, times RFC 3339, durations seconds, sizes bytes. null means a number without
// a limit, or a time that never comes.
//
// The paths are in package server, whose OpenAPI document is made from these types.
package api
