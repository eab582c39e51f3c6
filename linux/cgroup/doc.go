// Package cgroup limits what the processes of a sandbox, or of a partition of a SlapOS node, may
// use, and gathers them so that all can be ended, on control groups of version 1, version 2 and
// both at once. It works for root, and for an ordinary user to whom a group was delegated: its own
// group of /proc/self/cgroup, or one above that, which it may write to.
//
// Find says where groups can be made, without making any. Each sandbox is one Group below
// PLACE/NAME, where PLACE is the topmost group that we may write to and NAME the installation's: so
// all processes of one installation see the same groups, and those that a killed process left are
// found by List. Nothing is made but for what was asked: a hierarchy of version 1 only for a limit
// in it, the one of version 2 always, where it is there, as it gathers processes, ends them at once
// and counts their time.
//
// A process should be born in its group. In version 2 that is clone's work (SysProcAttr.UseCgroupFD
// with Group.FD); in version 1 it is Start's, which takes the calling thread into the groups for
// the time of the fork. Moving a process later, as Add does, costs about 10 ms for each hierarchy
// on an idle machine: the kernel waits for all CPUs before it moves another's process, but not when
// a thread moves itself.
//
// What is delegated to a sandbox (Delegate) is its directory of version 2 alone, with bounds on
// depth and number. Nothing of version 1 ever is, and release_agent and notify_on_release are never
// touched.
//
// Version 2 lets no group have both processes and limited children, but for the root. Where our own
// group is the topmost that we may write to and a limit is asked for, Make moves the group's
// processes (ours, and those beside it) one level down, into PLACE/NAME.others, as programs that
// run containers inside of containers do; that is not undone.
package cgroup
