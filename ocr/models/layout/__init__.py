"""PP-DocLayoutV3, the network that finds the regions of a page for models that read them one by one."""
