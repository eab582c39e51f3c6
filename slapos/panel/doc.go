// Package panel is what a SlapOS master of one's own shows to a browser beside what it says to
// nodes and clients: a page that lists computers, releases and instances by the master's JSON API,
// the files of a public directory, and a way to the pages of instances.
//
// That way leads to addresses of the master's partitions and nowhere else, and what comes by it is
// confined to an origin of its own: a page of an instance cannot make the master do anything in the
// name of who looks at it.
package panel
