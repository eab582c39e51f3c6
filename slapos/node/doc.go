// Package node brings about on a computer what a SlapOS master wants in its partitions. It observes
// the partitions' directories, decides by a pure function (plan), and acts.
//
// An instance is processed as the partition's user, by the buildout of its software release; a
// lighter release has a program "instance" for that. The supervisor runs the programs that it
// leaves in etc/run and etc/service, as a group of the partition's name. All access to a
// partition's directory goes through node/home.
//
// Elsewhere than on Linux partitions can be planned and not processed.
package node
