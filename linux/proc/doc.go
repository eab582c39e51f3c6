// Package proc is what the kernel says of processes: who is whose child, which one a number stands
// for, and which of them have a mark. A number is another process's as soon as its process is gone,
// so whoever is to be ended, or remembered, goes by a Handle or a Process and never by its number.
//
// It is linked into the small program in the guests: it imports little, and does nothing before it
// is called. Elsewhere than on Linux there is nothing to be seen.
package proc
