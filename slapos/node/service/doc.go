// Package service opens the parts of a SlapOS node by its slapos.cfg and runs them: the supervisor,
// the passes, the reports, the formatting, and the loop that makes the passes by itself.
package service
