def write(build, parts): pass
