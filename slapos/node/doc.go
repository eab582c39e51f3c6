// Package node has on a computer what a SlapOS master wants in its partitions: it observes the
// partitions' directories, decides by a pure function (Plan), and acts.
//
// An instance is processed by the buildout of its software release, or, of a lighter release, by
// the program "instance" in it, as the partition's user. What it leaves in etc/run and etc/service
// is given to the supervisor as a group of the partition's name. All that is read and written in a
// partition's directory goes through node/home.
//
// Elsewhere than on Linux partitions can be planned and not processed.
package node
