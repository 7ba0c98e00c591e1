"""Whole nodes of Kubernetes, each as its distribution leaves it, or as its guide hardens it."""
