// Package cgroup limits the resources of a sandbox's processes, or of a SlapOS partition's, and
// gathers them so that all can be ended. It uses control groups of version 1, version 2 and both at
// once. It works for root, and for an ordinary user with a delegated group: the user's own group of
// /proc/self/cgroup, or one above that, which the user may write to.
//
// Find says where groups can be made, without making any. Each sandbox is one Group below
// PLACE/NAME, where PLACE is the topmost group that we may write to and NAME the installation's. So
// all processes of one installation see the same groups, and List finds those that a killed process
// left. A group has only the directories that it needs: in a hierarchy of version 1 only for a
// limit there, and in version 2 always, where it exists. That one gathers processes, ends them at
// once and counts their time.
//
// A process should be born in its group. In version 2 clone does that (SysProcAttr.UseCgroupFD with
// Group.FD). In version 1 Start does it, which takes the calling thread into the groups for the
// time of the fork. Moving a process later, as Add does, costs about 10 ms for each hierarchy on an
// idle machine: the kernel waits for all CPUs before it moves another process, but not when a
// thread moves itself.
//
// Delegate gives a sandbox its directory of version 2 alone, with bounds on depth and number. It
// gives nothing of version 1, and this package never touches release_agent and notify_on_release.
//
// Version 2 lets no group but the root have both processes and limited children. Our own group may
// be the topmost that we may write to. If a limit is asked for then, Make moves the group's
// processes (ours, and those beside it) one level down, into PLACE/NAME.others. Programs that run
// containers inside of containers do the same. That is not undone.
package cgroup
