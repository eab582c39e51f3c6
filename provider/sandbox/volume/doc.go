// Package volume makes file systems in sparse files, and mounts them by loop devices.
package volume
