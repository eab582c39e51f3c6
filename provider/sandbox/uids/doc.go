// Package uids gives ranges of user ids to sandboxes of root.
package uids
