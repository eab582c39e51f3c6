// Package slapos makes a controller a SlapOS master too, where hostler.conf has a section [slap]:
// it reads that section, puts the master before the controller's other handlers, tells the master
// who asks, limits how often somebody may, and keeps what was changed in the audit log.
package slapos
