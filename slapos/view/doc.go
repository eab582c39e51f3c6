// Package view is a SlapOS master as a controller's API shows it to people: computers, instances,
// usage and what software says of itself, as documents of package api, each for somebody whom the
// controller knows; and what they may have done by it. [View] is what package server serves below
// /v1/slap/.
//
// What is not for somebody is not there for him: its absence and its refusal are one answer.
package view
