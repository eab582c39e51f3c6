// Package server is a controller's HTTP API: what package pool can do, for callers elsewhere. It decides nothing about instances and leases; it says
// who asks (package auth), and speaks the documents of package api. `GET /openapi.json` describes it.
//
// Each path needs somebody whom the controller knows, but for /openapi.json, /healthz and /readyz.
package server
