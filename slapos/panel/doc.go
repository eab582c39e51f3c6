// Package panel is the browser side of a private SlapOS master. It shows a page that lists
// computers, releases and instances by the master's JSON API, the files of a public directory, and
// a way to the pages of instances.
//
// That way leads to addresses of the master's partitions alone. Its pages are confined to an origin
// of their own: a page of an instance cannot act on the master in the name of the user that looks
// at it.
package panel
