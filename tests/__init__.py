"""Tests of lookcast; they mirror the package one to one."""
