// Package standalone lays a whole SlapOS out in one directory of an ordinary user: the settings of a master and of a node, and where they keep everything. It is for tests and for
// trying things out. Who runs master, supervisor and node by them is somebody else.
package standalone
