"""The study `classify`: convolution or transformer at this parameter budget?"""
