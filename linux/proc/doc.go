// Package proc is what the kernel says of processes: the children of each, the process that a
// number stands for, and the processes with a mark. A number is another process's as soon as its
// process is gone. So a process to be ended, or remembered, is named by a Handle or a Process and
// never by its number.
//
// It is linked into the small program in the guests: it imports little, and does nothing before it
// is called. Elsewhere than on Linux there is nothing to be seen.
package proc
