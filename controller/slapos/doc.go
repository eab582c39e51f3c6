// Package slapos makes a controller a SlapOS master too, if hostler.conf has a section [slap].
//
// It reads that section and serves the master below /slapos. It identifies callers of the master,
// limits how often they may ask, and writes changes to the audit log.
package slapos
