// Package servercmd has the commands around a controller: serve, log in, tokens, apply, webhooks.
package servercmd
