// Package controller runs a controller: the engine with its loops, reload, authentication and the
// HTTP API.
package controller
