"""The study `segment`: which segmentation model for this driving video?"""
