// Package view shows a SlapOS master to users of a controller's API. It returns computers,
// instances, usage and the schemas of software as documents of package api, each as far as the
// caller may see it, and it does what a caller may do. [View] is what package server serves below
// /v1/slap/.
//
// A thing that a caller may not see is not there: absence and refusal are one answer.
package view
